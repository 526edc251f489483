; The eight queens: how many solutions there are for boards of 1 to 7, and the first one for 8.

(define (append-map f list)
  (if (null? list) '() (append (f (car list)) (append-map f (cdr list)))))
(define (append a b) (if (null? a) b (cons (car a) (append (cdr a) b))))
(define (range from to) (if (< from to) (cons from (range (+ from 1) to)) '()))
(define (map f list) (if (null? list) '() (cons (f (car list)) (map f (cdr list)))))
(define (length list) (if (null? list) 0 (+ 1 (length (cdr list)))))

; May a queen stand in `column`, given those of the rows before it, nearest first?
(define (safe? column queens distance)
  (if (null? queens) t
    (if (= column (car queens)) '()
      (if (= (- column (car queens)) distance) '()
        (if (= (- (car queens) column) distance) '()
          (safe? column (cdr queens) (+ distance 1)))))))

(define (solutions n rows)
  (if (= rows 0) '(())
    (append-map
      (lambda (queens)
        (append-map
          (lambda (column) (if (safe? column queens 1) (cons (cons column queens) '()) '()))
          (range 0 n)))
      (solutions n (- rows 1)))))

(map (lambda (n) (length (solutions n n))) (range 1 8))
(car (solutions 8 8))
